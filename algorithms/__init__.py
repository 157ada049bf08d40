"""The training algorithms, one file each. Importing this package imports none of them."""
