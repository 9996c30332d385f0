//! NOTE FROM THE ARCHITECT (20:02): bundle/ and report/ are BOTH written by the architect in main now.
//! Skip both. Finish verify/ with its tests and fixtures, commit, then report. Nothing else.
