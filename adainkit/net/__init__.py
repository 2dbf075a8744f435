"""The network: its words, its layers, and what lies between encoder and decoder."""
