//! `hashlib`'s hashes of passwords, which are OpenSSL's elsewhere: Python would take ten to a hundred times as long.
//! What arguments mean, and which are refused how, is `src/hashes.py`'s; here they are as they have to be.

use pbkdf2::pbkdf2_hmac;
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};

/// PBKDF2 (RFC 8018) with HMAC. None for a hash that is not one of SHA-1 and SHA-2.
#[pyfunction(name = "pbkdf2")]
fn derive_pbkdf2<'py>(
    py: Python<'py>,
    hash: &str,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    length: usize,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let derive = match hash {
        "sha1" => pbkdf2_hmac::<sha1::Sha1>,
        "sha224" => pbkdf2_hmac::<sha2::Sha224>,
        "sha256" => pbkdf2_hmac::<sha2::Sha256>,
        "sha384" => pbkdf2_hmac::<sha2::Sha384>,
        "sha512" => pbkdf2_hmac::<sha2::Sha512>,
        _ => return Ok(None),
    };
    let fill = |key: &mut [u8]| {
        derive(password, salt, iterations, key);
        Ok(())
    };
    PyBytes::new_with(py, length, fill).map(Some)
}

/// scrypt (RFC 7914), where the cost is two to the power of `log_n`.
#[pyfunction(name = "scrypt")]
fn derive_scrypt<'py>(
    py: Python<'py>,
    password: &[u8],
    salt: &[u8],
    cost: (u8, u32, u32),
    length: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let refused = |error: &dyn std::fmt::Display| PyValueError::new_err(error.to_string());
    let (log_n, r, p) = cost;
    let params = scrypt::Params::new(log_n, r, p, scrypt::Params::RECOMMENDED_LEN)
        .map_err(|error| refused(&error))?;
    PyBytes::new_with(py, length, |key| {
        scrypt::scrypt(password, salt, &params, key).map_err(|error| refused(&error))
    })
}

/// The module.
#[pymodule]
fn wpaas_hashes(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(derive_pbkdf2, module)?)?;
    module.add_function(wrap_pyfunction!(derive_scrypt, module)?)
}
