"""From what was typed to the list of runs: arguments, presets, names, specs."""
