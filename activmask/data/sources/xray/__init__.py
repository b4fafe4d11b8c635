"""Chest X-rays of NIH ChestX-ray14 and PadChest."""
