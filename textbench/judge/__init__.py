"""What may be concluded from numbers: statistics, tolerances, comparisons."""
