"""Amazon SES (version 2) and the text messages of SNS as a process of their own, over HTTP as boto3 speaks it.

It stands in for what moto does not do: it refuses, throttles, hangs, and loses its answers, as it is told to.
"""
