"""The metrics, one family a file. Importing this package imports none of them."""
