(ns app
  (:require [clojure.string :as str]))

(def visits (atom 0))

(defn response [status body]
  {:status status
   :headers {"content-type" "text/plain; charset=utf-8"}
   :body body})

(defn route [{:keys [method uri body]}]
  (cond
    (= uri "/") (response 200 "Hello from squint")
    (= uri "/count") (response 200 (str (swap! visits inc)))
    (str/starts-with? uri "/reverse/") (response 200 (str/join "" (reverse (subs uri 9))))
    (and (= method "POST") (= uri "/words"))
    (response 200 (str/join "," (sort (map str/upper-case (str/split body " ")))))
    (= uri "/sum") (response 200 (str (reduce + (filter odd? (range 10)))))
    (= uri "/throw") (throw (js/Error. "no"))
    :else (response 404 "not found")))

(defn ^:async handler [method uri body]
  (try
    (route {:method method :uri uri :body body})
    (catch :default e
      (response 500 (str "error: " (.-message e))))))
