/**
 * The script of all pages. Everything on them works without it; it adds buttons that copy a block of
 * code, results of a search while one types, and the status as it changes.
 */

/** Read out by screen readers. */
function announce(text) {
  document.getElementById('announcement').textContent = text
}

/** Returns false if the browser allows no access to the clipboard; the text is then selected. */
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent)
    return true
  } catch {
    // Without HTTPS there is no such interface, and the user can refuse it.
    getSelection().selectAllChildren(element)
    return document.execCommand('copy')
  }
}

for (const button of document.querySelectorAll('button[data-copies]')) {
  // What is copied follows, for screen readers.
  const label = button.firstChild
  let timer
  button.hidden = false
  button.addEventListener('click', async () => {
    const isCopied = await copy(document.getElementById(button.dataset.copies))
    label.data = isCopied ? 'Copied' : 'Selected'
    announce(isCopied ? 'Copied' : 'Selected: press Ctrl+C to copy')
    clearTimeout(timer)
    timer = setTimeout(() => {
      label.data = 'Copy'
    }, 2000)
  })
}

/** While one types, the results of the search replace those of before. */
for (const form of document.querySelectorAll('form[data-results]')) {
  const results = document.getElementById(form.dataset.results)
  let timer
  let request
  const search = async () => {
    request?.abort()
    request = new AbortController()
    const url = new URL(form.action)
    url.searchParams.set('q', form.elements.q.value)
    history.replaceState(null, '', url)
    url.searchParams.set('part', 'results')
    try {
      const response = await fetch(url, { signal: request.signal })
      if (!response.ok) return
      results.innerHTML = await response.text()
      const count = results.querySelectorAll('tbody tr').length
      announce(count === 0 ? 'Nothing found' : `${count} shown`)
    } catch {
      // Another search began, or the cache cannot be reached: the form still works.
    }
  }
  form.addEventListener('input', () => {
    clearTimeout(timer)
    timer = setTimeout(search, 150)
  })
}

/** A part of the page that the cache sends again when it changes. A stream that was refused is asked for again later. */
for (const live of document.querySelectorAll('[data-events]')) {
  const listen = () => {
    const source = new EventSource(live.dataset.events)
    source.addEventListener('message', ({ data }) => {
      live.innerHTML = data
    })
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 15_000)
    })
  }
  listen()
}
