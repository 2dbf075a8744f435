"""A model without torch: its graphs, the engines that run them, and a whole stylizer on NumPy alone."""
