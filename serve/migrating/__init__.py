"""A shop moves from a folder to servers: everything is copied, counted and compared, while no shop runs."""
