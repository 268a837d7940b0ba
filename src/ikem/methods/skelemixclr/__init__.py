"""SkeleMixCLR."""
