"""Can one person ship this tonight and sleep?"""
