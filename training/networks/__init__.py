"""The networks, one file each: hyper-networks H_theta and reconstruction networks A_omega."""
