"""Who is told, and did they hear?"""
