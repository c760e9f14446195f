//! Many series of one side, and their text.

/// Many series of one side, and their text.
pub trait Scraped: Send {
    /// The side's name, as the table shows it.
    fn name(&self) -> &'static str;
    /// Records once into every `every`th series, other ones in each round, so that no scrape finds
    /// what the one before it found. For a histogram, `round` is the index of the value.
    fn touch(&mut self, round: usize, every: usize);
    /// Scrapes into the side's own reused buffer, where it takes one.
    fn scrape(&mut self) -> &[u8];
    /// Scrapes, and says how long the text is that then stands ready to be sent: in the buffer, or
    /// where the side keeps it.
    fn hand_out(&mut self) -> usize {
        self.scrape().len()
    }
    /// How many of the unit of boundaries and sums make a second.
    fn per_second(&self) -> f64;
    /// Bytes of what is the bench's and not the side's: the list of handles and the buffer that is
    /// scraped into.
    fn held(&self) -> usize;
}

/// Sets up a [`Scraped`] of so many series, counters at [`crate::work::start_value`] and histograms
/// prefilled.
pub type MakeScraped = fn(usize) -> Box<dyn Scraped>;

/// Which series `touch` records into.
pub fn touched(round: usize, every: usize) -> impl Fn(usize) -> bool {
    move |series| series % every == round % every
}

/// A [`Scraped`] of handles and closures; `O` is the buffer that the side writes into.
pub(super) struct Texts<O, H, T, R> {
    pub(super) name: &'static str,
    pub(super) handles: Vec<H>,
    /// Records into one series.
    pub(super) touch: T,
    pub(super) render: R,
    pub(super) out: O,
    pub(super) per_second: f64,
}

impl<O, H, T, R> Texts<O, H, T, R>
where
    O: Buffer + Default + Send + 'static,
    H: Send + 'static,
    T: FnMut(&H, usize) + Send + 'static,
    R: FnMut(&mut O) + Send + 'static,
{
    pub(super) fn boxed(
        name: &'static str,
        handles: Vec<H>,
        touch: T,
        render: R,
    ) -> Box<dyn Scraped> {
        Texts::boxed_in(1.0, name, handles, touch, render)
    }

    pub(super) fn boxed_in(
        per_second: f64,
        name: &'static str,
        handles: Vec<H>,
        touch: T,
        render: R,
    ) -> Box<dyn Scraped> {
        Box::new(Texts { name, handles, touch, render, out: O::default(), per_second })
    }
}

impl<O, H, T, R> Scraped for Texts<O, H, T, R>
where
    O: Buffer + Send,
    H: Send,
    T: FnMut(&H, usize) + Send,
    R: FnMut(&mut O) + Send,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn touch(&mut self, round: usize, every: usize) {
        let handles = self.handles.iter().skip(round % every).step_by(every);
        handles.for_each(|handle| (self.touch)(handle, round));
    }

    fn scrape(&mut self) -> &[u8] {
        (self.render)(&mut self.out);
        self.out.as_ref()
    }

    fn per_second(&self) -> f64 {
        self.per_second
    }

    fn held(&self) -> usize {
        self.handles.capacity() * size_of::<H>() + self.out.capacity()
    }
}

/// What a side writes its text into.
pub(super) trait Buffer: AsRef<[u8]> {
    fn capacity(&self) -> usize;
}

impl Buffer for String {
    fn capacity(&self) -> usize {
        String::capacity(self)
    }
}

impl Buffer for Vec<u8> {
    fn capacity(&self) -> usize {
        Vec::capacity(self)
    }
}
