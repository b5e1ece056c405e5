//! How a parameter travels to PostgreSQL.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::sql::P;

type Encoded = Result<IsNull, Box<dyn Error + Sync + Send>>;

impl ToSql for P<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        match (self, ty) {
            (P::Null, _) => Ok(IsNull::Yes),
            (P::Int(value), &Type::INT8) => value.to_sql(ty, out),
            (P::Int(value), &Type::INT4) => i32::try_from(*value)?.to_sql(ty, out),
            (P::Int(value), &Type::INT2) => i16::try_from(*value)?.to_sql(ty, out),
            (P::Int(value), &Type::BOOL) => (*value != 0).to_sql(ty, out),
            (P::Text(text), _) if <&str as ToSql>::accepts(ty) => text.as_ref().to_sql(ty, out),
            (P::Bytes(bytes), &Type::BYTEA) => bytes.as_ref().to_sql(ty, out),
            (P::Texts(texts), _) if <&[&str] as ToSql>::accepts(ty) => texts.to_sql(ty, out),
            (P::Ints(ints), &Type::INT8_ARRAY) => ints.to_sql(ty, out),
            // Neither value nor statement: a parameter must never reach a log.
            _ => Err(format!("{} was given where {ty} is expected", kind(self)).into()),
        }
    }

    /// Every type: whether it fits is seen with the value, since `NULL` fits all of them.
    fn accepts(_ty: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn kind(p: &P<'_>) -> &'static str {
    match p {
        P::Null => "NULL",
        P::Int(_) => "a number",
        P::Text(_) => "a text",
        P::Bytes(_) => "bytes",
        P::Texts(_) => "a list of texts",
        P::Ints(_) => "a list of numbers",
    }
}
