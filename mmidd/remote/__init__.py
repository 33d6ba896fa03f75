"""Raw data in an object store, through fsspec: nobody else imports it, and nothing here does before it is needed."""
