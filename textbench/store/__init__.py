"""The record: run directories, written and read."""
