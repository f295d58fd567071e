"""What lessons are made of: predictions, checks, and landscapes to lose one's way on."""
