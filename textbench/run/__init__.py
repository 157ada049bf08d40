"""A run in progress: assembled, trained, measured, checkpointed, in its process."""
