"""What is needed to run Retain somewhere: demo, locks, images."""
