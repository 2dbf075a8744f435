"""How fast adainkit is, and how much memory it takes, beside written-out rivals: `python -m benchmarks --help`."""
