"""Many pictures on a Ray cluster: actors that take names, and one driver that alone writes the manifest."""
