"""Is what Pictograph finds and tags any good? One JSON line per question, from a folder of labelled photographs.

folder.py      files -> photographs with the name of their class
classes.py     the name of a class -> an ImageNet class, and the labels that are true of it
encoding.py    photographs -> vectors and tags, by the code that serves
related.py     classes -> which pairs of photographs belong together
metrics.py     the formulas
similarity.py  zero_shot.py  tags.py  attributes.py  copies.py  words.py     one question each
sheets.py  page.py  html.py     the same for the eye

docs/quality.md has the numbers and what they mean.
"""
