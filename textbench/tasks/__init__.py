"""The built-in tasks. Importing this package imports none of them."""
