"""TST-5: the same unchanged program, without and with the agent, compared in everything a program can show."""
