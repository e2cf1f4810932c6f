"""SLO specs: files of OpenSLO and sloth in, plain values out."""
