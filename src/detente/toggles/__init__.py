"""What can we switch without shipping?"""
