"""Published methods by others, to compare with: each one in a file of its own.

Written from the papers and from what the authors' programs do. Their weights are not part of this
package: give the file that the authors published.
"""
