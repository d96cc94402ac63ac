"""Sensitive data in what clients send: secrets and personal data, found in text and taken out of it.

`kinds` names what is looked for, `finding` looks, `json_body` reads and redacts requests, `answer_body`
masks answers. Pure, no network; time grows with the text and no faster, whatever the text is.
"""
