"""What is fetched once and kept: published weights, and encoded styles."""
