"""What does it look like when a vendor fails and nobody loses anything?"""
