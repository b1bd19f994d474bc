"""Which points are central, what falls together, and where everything stands in the drawing?"""
