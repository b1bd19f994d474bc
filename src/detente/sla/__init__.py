"""What were we promised, did we get it, what are we owed?"""
