//! Floor 5. *What was asked?* TOML as written, checked, every default filled in.
