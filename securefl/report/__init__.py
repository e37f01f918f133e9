"""Pages that people read in a browser: one file each, with nothing to load from elsewhere.

``audit_page``  the page of an audit, for whoever answers for privacy
``line_chart``  lines over rounds, as a drawing inside a page
"""
