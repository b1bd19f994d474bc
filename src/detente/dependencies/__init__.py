"""What falls when this falls?"""
