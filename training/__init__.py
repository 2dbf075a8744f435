"""Training of adainkit's models: data, losses, the loop, evaluation and export. Needs `adainkit[train]`."""
