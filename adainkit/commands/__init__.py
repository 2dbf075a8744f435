"""The larger commands of `adainkit`, a module each with `run(args) -> exit code`; torch is imported when one runs."""
