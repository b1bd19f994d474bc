"""Is everything we depend on answering, and if not, whose fault is it?"""
