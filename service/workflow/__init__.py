"""The durable workflow: phases, their runner, and what is cleaned up after them."""
