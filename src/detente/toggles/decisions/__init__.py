"""What does what was written and done mean: who gets what, what is due, and what is to blame?"""
