"""`python -m textbench` is `textbench`."""

from textbench.cli import main

if __name__ == "__main__":
    main()
