"""What an artist controls, on tensors: colors, masks, regions, detail and scale."""
