"""The service proxy: keeps IPVS of this node equal to the cluster's services.

facts -> engine -> desired -> plan -> writers of IPVS, links and rules. Everything up to the plan is pure.
"""
