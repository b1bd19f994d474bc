"""Does it do what we said?"""
