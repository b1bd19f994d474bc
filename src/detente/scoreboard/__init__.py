"""How are we doing, both of us?"""
