//! OTLP by HTTP.

use super::{NAME, Otlp, answer};
use crate::batch::SpanRecord;
use crate::encode::otlp::{Form, Request};
use crate::error::Error;
use crate::export::sink::{Setback, Sink};
use crate::export::trace::parcel::{Carrier, MOST_BYTES, Parcels};
use crate::export::trace::post::{Post, Settings};
use crate::traces::config::Origin;

pub(super) fn open(otlp: &Otlp, origin: Origin<'_>) -> Result<Box<dyn Sink>, Error> {
    let settings = Settings {
        headers: otlp.headers.clone(),
        gzip: otlp.gzip,
        timeout: otlp.timeout,
        authorities: otlp.pem()?,
        ..Settings::new(NAME, &*otlp.url)
    };
    let http = Http {
        request: Request::new(otlp.form, origin.resource),
        post: Post::new(&settings)?,
        form: otlp.form,
    };
    Ok(Box::new(Parcels::new(http, origin.engine)))
}

struct Http {
    request: Request,
    post: Post,
    form: Form,
}

impl Carrier for Http {
    fn pack(&mut self, spans: &mut dyn Iterator<Item = SpanRecord<'_>>, most: usize) -> usize {
        self.request.fill(spans, most, MOST_BYTES)
    }

    fn send(&mut self) -> Result<u32, Setback> {
        let content_type = match self.form {
            Form::Protobuf => "application/x-protobuf",
            Form::Json => "application/json",
        };
        let answer = self.post.send(content_type, self.request.bytes())?;
        Ok(match self.form {
            Form::Protobuf => answer::rejected(answer),
            Form::Json => answer::rejected_json(answer),
        })
    }
}
