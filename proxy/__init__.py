"""The service proxy: keeps IPVS of this node equal to the cluster's services.

facts -> claims and services -> planning -> programming -> kernel. Everything up to planning is pure;
`controller` is the thread's work.
"""
