"""Accounts whose drift is priced by a full covariance."""
